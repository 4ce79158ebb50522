"""What the browser shows: navigation, widgets, charts and panels around the `fer` library."""
