import multiprocessing, os, signal, time

def hold(lock):
    with lock:
        time.sleep(1000)

lock = multiprocessing.Lock()
owner = multiprocessing.Process(target=hold, args=(lock,))
owner.start()
time.sleep(0.3)
os.kill(owner.pid, signal.SIGKILL)
owner.join()
with lock:
    print("loses")
