"""What happened lately, kept by name and time for whoever looks: the inspector."""
