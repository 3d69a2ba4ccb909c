"""What each REST route does."""
