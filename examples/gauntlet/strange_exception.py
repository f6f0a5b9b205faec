import multiprocessing

class Strange(Exception):
    def __init__(self, what, why):
        super().__init__(what)

def work(_):
    raise Strange("what", "why")

with multiprocessing.Pool(2) as pool:
    try:
        pool.apply(work, (1,))
    except Strange:
        print("reported")
