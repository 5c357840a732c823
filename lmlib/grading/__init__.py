"""What happens to a class: one room for each stage of a submission's way.

submissions/  bytes of strangers become notebooks, each with its student
sandbox/      what a student's code cannot do
examination/  two processes and the codec between them: one mark
results/      records, nbgrader's gradebook, pages, reports
batch.py, cluster.py    a whole class, on this machine or on several
io_process.py           reads and writes beside the process that grades
assignment.py           solutions/ -> nbgrader's source -> exercises/
nbgrader_hooks.py       the same engine behind nbgrader's own commands
"""
