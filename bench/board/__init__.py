"""The leaderboard: submissions -> tables, figures and one page. Imports no torch."""
