"""URL -> bytes, within the rules for strangers' URLs. The way in is `app.fetching.fetcher.Fetcher`."""
