# Use before logging
logger.info(f"User query: {redact_sensitive_data(user_query)}")
