"""The activations browser, after the slide "Visualizing Activations" and Yosinski's Deep Visualization Toolbox.

    python -m lectures.deepvis

engine.py computes and returns arrays; desk.py sees to it that one thing is computed at a time; background.py gathers the top
patches and climbs to the optimised pictures meanwhile; drawing.py makes files of the arrays; app.py is all there is of the web,
and static/ the page itself.
"""
