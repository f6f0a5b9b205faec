import os, signal
from concurrent.futures import ProcessPoolExecutor

def work(number):
    if number == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

with ProcessPoolExecutor(2) as executor:
    futures = [executor.submit(work, number) for number in range(100)]
    failed = sum(future.exception() is not None for future in futures)
print("reported" if failed == 1 else f"loses {failed} of 100")
