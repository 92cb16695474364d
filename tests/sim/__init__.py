"""
The simulator: the server and model clients of every generation, without a network and without waiting.

Everything is on one ``Clock``, and every byte goes through :mod:`tests.sim.wires`, where a seed delays it, cuts it off,
loses it, or lets another connection overtake it. One integer is one run::

    python -m tests.sim --faults 10000000 --seed 1 --jobs 2     run seeds until so many faults have taken place
    python -m tests.sim --only SEED                             one run, with its trace
    python -m tests.sim --shrink SEED                           a run that fails, made small

===================  =====================================================================================
``wires``            TCP: delays, segments, cuts, stalls, silence, back pressure
``carriers``         the client's end of it: HTTP with a connection that is kept, WebSockets
``clients``          what model clients have in common
``oldclients``       0.6 and 0.7 to 0.9, on all their transports; 0.6 also as clients that resume
``engineclients``    1.x to 4.x, with upgrade, and recovery from 4.6 on
``plan``             which clients and which faults there are, and what a run comes to
``world``            one run: server, application, clients and plan
``oracle``           what was promised, and whether it was kept
``shrinking``        makes a failing run small
===================  =====================================================================================

A fault is counted when it takes place on a connection that one side at least still has: a delivery in segments is one,
however many segments there are.
"""
