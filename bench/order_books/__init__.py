"""What `python -m bench book` is made of: flows of orders, the engines that play them, and what is measured."""
