"""What `agents.report` and `agents.monitor` show of runs, from their folders alone.

- `reading`: a run's folder, and runs of one configuration as a group. `curves`: the median and the band over seeds.
- `plots`: charts of any numbers, as SVG. `figures`: the charts of runs.
- `tables`: results, settings, faults, versions. `films`: videos and their filmstrips.
- `page`: the HTML page. `templates`: its text and looks.
"""
