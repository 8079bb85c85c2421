# ✅ Good: Clear environment separation
ENVIRONMENTS = {
    'development': {
        'BAYT_API_KEY': os.getenv('BAYT_API_KEY_DEV'),
        'OPENAI_API_KEY': os.getenv('OPENAI_API_KEY_DEV'),
    },
    'staging': {
        'BAYT_API_KEY': os.getenv('BAYT_API_KEY_STAGING'),
        'OPENAI_API_KEY': os.getenv('OPENAI_API_KEY_STAGING'),
    },
    'production': {
        'BAYT_API_KEY': os.getenv('BAYT_API_KEY_PROD'),
        'OPENAI_API_KEY': os.getenv('OPENAI_API_KEY_PROD'),
    }
}

env = os.getenv('ENVIRONMENT', 'development')
config = ENVIRONMENTS[env]
