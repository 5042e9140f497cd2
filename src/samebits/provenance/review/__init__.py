"""`samebits review BASE`: what a change does to the results, for the pull request that brings it."""
