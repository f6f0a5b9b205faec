import subprocess, sys, time
from multiprocessing import shared_memory

memory = shared_memory.SharedMemory(create=True, size=8)
attach = "import sys; from multiprocessing import shared_memory; shared_memory.SharedMemory(sys.argv[1])"
subprocess.run([sys.executable, "-c", attach, memory.name], stderr=subprocess.DEVNULL)
time.sleep(0.5)
try:
    shared_memory.SharedMemory(memory.name).close()
    print("ok")
except FileNotFoundError:
    print("loses the memory")
