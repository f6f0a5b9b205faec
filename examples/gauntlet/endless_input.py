import multiprocessing, time

read = 0

def tasks():
    global read
    for number in range(200_000):  # it would be endless
        read += 1
        yield number

with multiprocessing.Pool(2) as pool:
    outputs = pool.imap(abs, tasks())
    for _ in range(10):
        next(outputs)
    time.sleep(2)
    print("ok" if read < 1_000 else f"reads {read:,} for 10")
