import multiprocessing, os, sys

def initialize():
    sys.stderr = open(os.devnull, "w")
    raise RuntimeError("no")

with multiprocessing.Pool(2, initialize) as pool:
    try:
        pool.apply(abs, (1,))
        print("ok")
    except Exception:
        print("reported")
