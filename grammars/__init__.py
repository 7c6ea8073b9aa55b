"""The grammars that molae ships, one .cfg file each in NLTK's notation."""
