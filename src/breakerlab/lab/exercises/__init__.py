"""The exercises of the course, one file for each notebook; `breakerlab.lab.exercise` checks answers against them."""
