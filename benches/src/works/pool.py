"""Tasks that do nothing, through multiprocessing.Pool and ProcessPoolExecutor; every output is verified."""
import multiprocessing, os, struct, sys, time
from concurrent.futures import ProcessPoolExecutor

kind, variant, processors = sys.argv[1], sys.argv[2], [int(processor) for processor in sys.argv[3:]]
WARM_UP = 50


def work(number):
    return number


def verify(outputs, numbers):
    if list(outputs) != list(numbers):
        raise SystemExit("an output is not its task")


def start(workers):
    if kind == "python-executor":
        return ProcessPoolExecutor(workers)
    return multiprocessing.Pool(workers)


def tasks(pool, count):
    if kind == "python-executor":
        verify(pool.map(work, range(count)), range(count))
    else:
        verify(pool.map(work, range(count), 100 if kind == "python-pool-100" else 1), range(count))


def round_trips(pool, count):
    for number in range(count):
        verify([pool.submit(work, number).result() if kind == "python-executor" else pool.apply(work, (number,))], [number])


def end(pool):
    pool.shutdown() if kind == "python-executor" else pool.terminate()


os.sched_setaffinity(0, processors)
act = tasks if variant == "tasks" else round_trips
pool = None if variant == "start" else start(2)
while len(order := sys.stdin.buffer.read(8)) == 8:
    (count,) = struct.unpack("=Q", order)
    before, spent = time.process_time_ns(), 0
    if pool is None:
        for _ in range(count):
            begin = time.monotonic_ns()
            started = start(4)
            # As many tasks as workers: the closest that can be had to all of them having begun.
            verify(started.map(work, range(4)), range(4))
            spent += time.monotonic_ns() - begin
            end(started)
    else:
        act(pool, WARM_UP)
        begin = time.monotonic_ns()
        act(pool, count)
        spent = time.monotonic_ns() - begin
    sys.stdout.buffer.write(struct.pack("=4Q", 0, spent, count, time.process_time_ns() - before))
    sys.stdout.buffer.flush()
if pool is not None:
    end(pool)
