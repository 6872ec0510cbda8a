"""python -m tools.bench: how fast minicnn is next to its peers, on the same inputs and with the same number of threads.

    cases.py        what is measured, as plain data, with how many operations and bytes each case needs
    ours.py         the cases by minicnn
    peers.py        the cases by PyTorch and by ONNX Runtime, as their users would write them; nothing of minicnn in it
    tsne.py, fool.py    two suites of their own: maps, and attacks
    worker.py       a process that runs the cases of one of them
    machine.py      what the processor and its memory can do at most
    __main__.py     the command: checks that all agree, then lets them run in turn, and prints the table
"""
