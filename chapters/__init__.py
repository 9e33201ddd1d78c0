"""The course: one script a chapter, a runner, and the grading of its exercises.

`python -m chapters` runs the chapters, `python -m chapters check 01 my_solution.py` grades.
"""
