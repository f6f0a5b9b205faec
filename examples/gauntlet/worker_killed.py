import multiprocessing, os, signal, time

def work(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

with multiprocessing.Pool(2) as pool:
    print("ok" if pool.map(work, range(10)) == list(range(10)) else "loses")
