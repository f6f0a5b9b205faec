import multiprocessing, threading, time

lock = threading.Lock()

def hold():
    with lock:
        time.sleep(1)

def work(_):
    with lock:
        return 1

multiprocessing.set_start_method("fork")
threading.Thread(target=hold).start()
time.sleep(0.1)
with multiprocessing.Pool(1) as pool:
    print("ok" if pool.map(work, [1]) == [1] else "loses")
