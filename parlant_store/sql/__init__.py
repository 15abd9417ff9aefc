"""SQL that the ORM cannot say: functions, and index expressions."""
