"""Round trips and streams over multiprocessing's Queue, SimpleQueue and Pipe; every message is verified."""
import multiprocessing, os, struct, sys, time

kind, work, words, capacity, first, second = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
MASK = (1 << 64) - 1
WARM_UP = 50
middle = b"\0" * (8 * (words - 2))


def message(number):
    head = struct.pack("=Q", number)
    return head if words == 1 else head + middle + struct.pack("=Q", number ^ MASK)


def verify(received, number):
    if received != message(number):
        raise SystemExit(f"message {number} arrived as {received[:8]!r}")


class OverPipe:
    def __init__(self):
        self.rx, self.tx = multiprocessing.Pipe(duplex=False)
        self.put, self.get = self.tx.send_bytes, self.rx.recv_bytes


def channel():
    if kind == "python-queue":
        return multiprocessing.Queue(capacity)
    if kind == "python-simple-queue":
        return multiprocessing.SimpleQueue()
    return OverPipe()


there, back, orders, used = channel(), channel(), multiprocessing.SimpleQueue(), multiprocessing.SimpleQueue()


def second_process():
    os.sched_setaffinity(0, [second])
    while (count := orders.get()) is not None:
        before = time.process_time_ns()
        if work == "one-way":
            for number in range(WARM_UP + count):
                there.put(message(number))
        else:
            for number in range(WARM_UP + count):
                received = there.get()
                verify(received, number)
                back.put(received)
        used.put(time.process_time_ns() - before)


def receive(start, end):
    for number in range(start, end):
        verify(there.get(), number)


def ask(start, end):
    for number in range(start, end):
        there.put(message(number))
        verify(back.get(), number)


process = multiprocessing.Process(target=second_process, daemon=True)
process.start()
os.sched_setaffinity(0, [first])
act = receive if work == "one-way" else ask
while len(order := sys.stdin.buffer.read(8)) == 8:
    (count,) = struct.unpack("=Q", order)
    before = time.process_time_ns()
    orders.put(count)
    act(0, WARM_UP)
    start = time.monotonic_ns()
    act(WARM_UP, WARM_UP + count)
    end = time.monotonic_ns()
    cpu = time.process_time_ns() - before + used.get()
    sys.stdout.buffer.write(struct.pack("=4Q", start, end, count, cpu))
    sys.stdout.buffer.flush()
orders.put(None)
process.join(5)
