"""SQL that the ORM cannot say: the functions of functions.sql, and index expressions."""
