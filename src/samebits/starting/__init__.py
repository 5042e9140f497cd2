"""`samebits start`: a first look at data of one's own, and the lines of params.yaml that fit them."""
