"""How a Kronos of our own is made: histories → windows → tokenizer → predictor → spread → model card."""
