import multiprocessing

def work(queue):
    queue.put(b"x" * 1_000_000)

queue = multiprocessing.Queue()
process = multiprocessing.Process(target=work, args=(queue,))
process.start()
process.join()
print("ok" if len(queue.get()) == 1_000_000 else "loses")
