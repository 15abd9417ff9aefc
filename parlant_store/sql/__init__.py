"""SQL that the ORM cannot express: functions and index expressions."""
