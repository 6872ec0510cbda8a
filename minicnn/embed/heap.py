"""What the searches for neighbours share: the distance of two points, and a heap of the nearest found so far."""
import numba
import numpy as np

METRIC_NUMBERS = {"euclidean": 0, "manhattan": 1, "chebyshev": 2}


@numba.njit
def distance(a, b, metric):
    """Return the distance of two points: metric 0 Euclidean, 1 Manhattan, 2 Chebyshev."""
    total = 0.
    for d in range(len(a)):
        difference = abs(np.float64(a[d]) - np.float64(b[d]))
        if metric == 0:
            total += difference * difference
        elif metric == 1:
            total += difference
        else:
            total = max(total, difference)
    return np.sqrt(total) if metric == 0 else total


@numba.njit
def push(distances, indices, distance, index):
    """Put a point in the place of the farthest of a heap: distances[0] is the largest, the children of i are 2i+1, 2i+2."""
    at, size = 0, len(distances)
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and (distances[child + 1], indices[child + 1]) > (distances[child], indices[child]):
            child += 1
        if (distances[child], indices[child]) <= (distance, index):
            break
        distances[at], indices[at] = distances[child], indices[child]
        at = child
    distances[at], indices[at] = distance, index


@numba.njit
def sort_heap(distances, indices):
    """Bring a heap of `push` into order, the nearest first: the largest goes to the end, again and again."""
    for end in range(len(distances) - 1, 0, -1):
        distance, index = distances[end], indices[end]
        distances[end], indices[end] = distances[0], indices[0]
        push(distances[:end], indices[:end], distance, index)
