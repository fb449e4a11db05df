"""What is told of a run while it goes on: means over the latest episodes, curves, progress bars.

It follows the events of the loop and steers nothing. Pages about runs from their folders belong to `reporting`.
"""
