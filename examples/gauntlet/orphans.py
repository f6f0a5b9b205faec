import multiprocessing, os, signal, subprocess, sys, time

parent = """
import multiprocessing, sys, time
pool = multiprocessing.Pool(2)
print(*(process.pid for process in multiprocessing.active_children()), flush=True)
time.sleep(1000)
"""
process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
workers = [int(pid) for pid in process.stdout.readline().split()]
process.kill()
process.wait()
time.sleep(0.5)
left = 0
for pid in workers:
    try:
        os.kill(pid, signal.SIGKILL)
        left += 1
    except ProcessLookupError:
        pass
print("ok" if left == 0 else f"leaves {left} orphans")
