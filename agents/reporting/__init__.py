"""What `agents.report` and `agents.monitor` show of runs, from their folders alone.

- `reading`: a run's folder, and runs of one configuration as a group. `curves`: the median and the band over seeds.
- `figures`: the charts. `tables`: results, settings, faults, versions. `films`: videos and their filmstrips.
- `page`: the HTML page. `templates`: its text and looks.
"""
