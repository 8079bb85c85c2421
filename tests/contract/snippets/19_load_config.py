import yaml
import os

def load_config(config_file):
    """Load config with environment variable substitution"""
    with open(config_file) as f:
        config = yaml.safe_load(f)

    # Replace ${VAR} with environment variable
    for key, value in config.items():
        if isinstance(value, str) and value.startswith('${'):
            env_var = value[2:-1]  # Extract VAR from ${VAR}
            config[key] = os.getenv(env_var)

    return config
