"""The project on Railway: the gateway and one cron service per job (`railway config plan`, `railway config apply`).

The schedules are written out, because Railway's command line evaluates this file where the package is not
installed; a test holds them against `candlecast.clock.SCHEDULES`. Secrets are kept as they are on the
platform (`preserve`), none stands here. The inference server is not on Railway: it runs where the GPU is.
"""

from railway_sdk import define_railway, github, preserve, project, service

SOURCE = github("candlecast/candlecast")
BUILD = {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"}

SCHEDULES = {
    "ingest-1h": "50 * * * *",
    "ingest-1d": "40 5 * * *",
    "kronos-batch-1h": "55 * * * *",
    "kronos-batch-1d": "45 5 * * *",
    "chronos2-batch-1h": "55 * * * *",
    "chronos2-batch-1d": "45 5 * * *",
    "score-signals-1h": "5 * * * *",
    "score-signals-1d": "30 6 * * *",
    "kronos-rolling-finetune": "0 6 1 * *",
    "seal-ledger": "15 0 * * *",
    "evaluate-daily": "45 6 * * *",
    "report-weekly": "0 7 * * 1",
}

JOB_SECRETS = ("DATABASE_URL", "INFERENCE_URL", "INFERENCE_TOKEN", "CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET")


@define_railway
def main(ctx=None):  # noqa: ARG001, the platform passes its context by this name
    """The services of the project."""
    gateway = service(
        "gateway",
        source=SOURCE,
        build=BUILD,
        start="python -m gateway --host 0.0.0.0 --port $PORT",
        healthcheck="/readyz",
        healthcheckTimeout=60,
        deploy={
            "restartPolicyType": "ALWAYS",
            "drainingSeconds": 30,
            "overlapSeconds": 20,
            "preDeployCommand": ["candlecast db upgrade"],
        },
        env={
            "DATABASE_URL": preserve(),
            "SHOWCASE_API_KEY": preserve(),
            "GATEWAY_ORIGINS": preserve(),
            "GATEWAY_HOSTS": preserve(),
            # Set it to 100.64.0.0/10, Railway's edge, or all readers share one allowance.
            "GATEWAY_TRUSTED_PROXIES": preserve(),
        },
    )
    jobs = [
        service(
            name,
            source=SOURCE,
            build=BUILD,
            start=f"python -m jobs {name}",
            # NEVER: the default would run a failing cron job ten times in a row against one GPU.
            deploy={"cronSchedule": cron, "restartPolicyType": "NEVER", "drainingSeconds": 30},
            env={secret: preserve() for secret in JOB_SECRETS},
        )
        for name, cron in SCHEDULES.items()
    ]
    return project("candlecast", resources=[gateway, *jobs])
