import multiprocessing, os, signal, time

def wait(condition):
    with condition:
        condition.wait()

condition = multiprocessing.Condition()
waiters = [multiprocessing.Process(target=wait, args=(condition,)) for _ in range(2)]
for waiter in waiters:
    waiter.start()
time.sleep(0.3)
os.kill(waiters[0].pid, signal.SIGKILL)
waiters[0].join()
with condition:
    condition.notify_all()
waiters[1].join()
print("ok")
