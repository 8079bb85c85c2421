import requests
import os
from datetime import datetime, timedelta

def check_api_usage():
    """Monitor API key usage for anomalies"""

    # Fetch usage data from Claro API
    api_key = os.getenv("BAYT_API_KEY")
    headers = {"Authorization": f"Bearer {api_key}"}

    response = requests.get(
        "https://api.baytos.ai/v1/usage",
        headers=headers
    )

    usage = response.json()

    # Check for anomalies
    if usage['requests_today'] > usage['avg_requests'] * 2:
        send_alert(
            f"Unusual API usage: {usage['requests_today']} requests "
            f"(avg: {usage['avg_requests']})"
        )

    if usage['error_rate'] > 0.05:  # 5% error rate
        send_alert(
            f"High error rate: {usage['error_rate'] * 100}%"
        )

def send_alert(message):
    """Send alert via email, Slack, PagerDuty, etc."""
    # Your alerting logic
    pass
