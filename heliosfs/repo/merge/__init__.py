"""The three-way merge of trees, of a file and of its lines; it knows neither views nor refs."""
