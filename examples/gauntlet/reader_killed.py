import multiprocessing, os, signal, time

def read(queue):
    queue.get()

queue = multiprocessing.Queue()
reader = multiprocessing.Process(target=read, args=(queue,))
reader.start()
time.sleep(0.3)
os.kill(reader.pid, signal.SIGKILL)
reader.join()
queue.put("after")
print("ok" if queue.get() == "after" else "loses")
