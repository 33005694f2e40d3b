"""Events and usage over HTTP."""
