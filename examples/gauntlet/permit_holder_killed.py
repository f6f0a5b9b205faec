import multiprocessing, os, signal, time

def hold(permits):
    with permits:
        time.sleep(1000)

permits = multiprocessing.BoundedSemaphore(1)
holder = multiprocessing.Process(target=hold, args=(permits,))
holder.start()
time.sleep(0.3)
os.kill(holder.pid, signal.SIGKILL)
holder.join()
with permits:
    print("ok")
