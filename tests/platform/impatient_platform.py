"""`python -m mosaic_deploy.platform`, with shorter periods: a test waits for what the platform does every few seconds."""

from __future__ import annotations

from mosaic_deploy.platform import __main__
from mosaic_deploy.platform.accounts import accounts
from mosaic_deploy.platform.daemon import background_jobs
from mosaic_deploy.platform.storage import store_claim
from mosaic_deploy.platform.tenants import watch

# Ten, five, five, ten and twenty seconds otherwise.
watch._UPKEEP_SECONDS = 1.0
background_jobs._SWEEP_SECONDS = 1.0
accounts._CACHE_SECONDS = 1.0
store_claim.RENEW_SECONDS, store_claim.SETTLE_SECONDS = 2.0, 4.0

if __name__ == "__main__":
    __main__.main()
