from analysis.common.study import Findings


def write_report(settings, tables, work):
    for k, t in tables.items():
        t.to_csv(work.out / f"table_{k}.csv")
    return Findings("m", [], [])
