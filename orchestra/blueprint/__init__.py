"""What is declared: text in, a checked ``Blueprint`` or every problem at once out. Pure but for reading files."""
