"""What ``flask scopes`` shows of resources: imported when it is asked."""
