import multiprocessing, os, signal, time

def write(connection):
    connection.send_bytes(b"x" * 4_000_000)

reader, writer = multiprocessing.Pipe(duplex=False)
process = multiprocessing.Process(target=write, args=(writer,))
process.start()
time.sleep(0.3)
os.kill(process.pid, signal.SIGKILL)
process.join()
try:
    reader.recv_bytes()
    print("loses")
except EOFError:
    print("reported")
