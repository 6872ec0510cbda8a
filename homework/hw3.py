"""Assignment 3: maps of many points. Slides "t-SNE and SNE", "More on t-SNE"."""
from types import SimpleNamespace

import numpy as np
import scipy.sparse

from minicnn.embed.affinities import bisection_cpu, conditional_ref, next_beta
from minicnn.embed.barnes_hut import attraction_ref, cells_used, repulsion_ref
from minicnn.embed.descent import descent_cpu
from minicnn.embed.quadtree import QuadTree
from minicnn.embed.sne import gaussian_ref, sne_divergence, sne_gradient_ref
from minicnn.embed.tsne import student_ref, tsne_divergence_ref, tsne_gradient_ref

from .tasks import Task

TITLE = "SNE, t-SNE, and the quadtree of Barnes and Hut"
WEIGHTS, LECTURES = (), ()
TREE = ("points", "child", "count", "center_of_mass", "width", "corner", "first", "order")       # what a walk needs


def affinities(distances, sigma, perplexity):
    exponents = distances ** 2
    others = exponents[~np.eye(len(exponents), dtype=bool)].reshape(len(exponents), -1)         # (N, N - 1)
    p, beta = np.empty_like(others), np.full(len(others), 1 / others.mean())
    bisection_cpu.py_func(others, p, beta, np.log(perplexity), 1e-12)
    step = getattr(next_beta, "py_func", next_beta)
    given = (0.3, 2.0, 0.5, np.inf), (0.3, 2.0, 0.5, 8.0), (-0.3, 2.0, 0.5, np.inf), (-0.1, 3.0, 2.0, 5.0)
    return {"p of sigma": conditional_ref(distances, sigma), "p of perplexity": p, "beta": beta,
            "next beta, low, high": [step(*each) for each in given]}


def sne(P, Y, symmetric):
    return {"Q": gaussian_ref(Y, symmetric), "C": sne_divergence(P, Y, symmetric), "dC/dY": sne_gradient_ref(P, Y, symmetric)}


def tsne(P, Y):
    return {"w": student_ref(Y), "C": tsne_divergence_ref(P, Y), "dC/dY": tsne_gradient_ref(P, Y)}


def descent(Y, gradients, learning_rate, momentum):
    Y, moves, gains = Y.copy(), np.zeros_like(Y), np.ones_like(Y)
    for gradient in gradients:
        descent_cpu.py_func(Y, moves, gains, gradient, learning_rate, momentum)
    return {"Y": Y, "moves": moves, "gains": gains}


def quadtree(points, leaf_size):
    """Answer with the cells in the order of a walk, lower left, lower right, upper left, upper right: their rows may differ."""
    tree, rows, inside, todo = QuadTree(points, leaf_size, build="insert"), [], [], [0]
    while todo:
        node = todo.pop()
        rows.append((tree.level[node], tree.count[node], *tree.center_of_mass[node]))
        if max(tree.child[node]) < 0:
            inside += sorted(tree.points_in(node).tolist())
        todo += [child for child in tree.child[node][::-1] if child >= 0]
    levels, counts, x, y = zip(*rows)
    return {"level": np.array(levels), "count": np.array(counts), "center_of_mass": np.array([x, y]).T,
            "points, leaf by leaf": np.array(inside)}


def barnes_hut(tree, theta, y, rows, columns, p):
    tree = SimpleNamespace(**tree)
    tree.points_in = lambda node: tree.order[tree.first[node]:tree.first[node] + tree.count[node]]
    far, near = cells_used(tree, y, theta)
    repulsion, Z = repulsion_ref(tree, theta)
    P = scipy.sparse.csr_matrix((p, (rows, columns)), (len(tree.points),) * 2)
    return {"far": np.sort(np.array(far, int)), "near": np.sort(np.array(near, int)), "repulsion": repulsion, "Z": Z,
            "attraction": attraction_ref(P, tree.points)}


TASKS = (
    Task("hw3.1", "affinities and perplexity", 20, "minicnn/embed/affinities.py",
         ("conditional_ref", "next_beta", "_bisection_cpu"),
         affinities, tolerance=1e-7),
    Task("hw3.2", "SNE and its gradient", 15, "minicnn/embed/sne.py", ("gaussian_ref", "sne_divergence", "sne_gradient_ref"),
         sne),
    Task("hw3.3", "t-SNE and its gradient", 15, "minicnn/embed/tsne.py",
         ("student_ref", "tsne_divergence_ref", "tsne_gradient_ref"), tsne),
    Task("hw3.4", "descent with momentum and gains", 10, "minicnn/embed/descent.py", ("_descent_cpu",), descent),
    Task("hw3.5", "the quadtree, point by point", 20, "minicnn/embed/quadtree.py",
         ("insert", "_quarter", "_weigh"), quadtree),
    Task("hw3.6", "Barnes-Hut: far cells as one mass", 20, "minicnn/embed/barnes_hut.py",
         ("cells_used", "repulsion_ref", "attraction_ref"), barnes_hut),
)
