def safe_prompt_injection(user_input: str, prompt_template: str) -> str:
    """Safely inject user input into prompts"""
    # Sanitize user input
    sanitized = user_input.strip()

    # Escape special characters if needed
    sanitized = sanitized.replace("{", "{{").replace("}", "}}")

    # Use template with clear boundaries
    return prompt_template.format(user_input=sanitized)

# Example usage
from baytos.claro import BaytClient

client = BaytClient(api_key=os.getenv("BAYT_API_KEY"))
prompt = client.get_prompt("@workspace/qa-bot:v1")

# Inject user input safely
full_prompt = safe_prompt_injection(
    user_input="What are your hours?",
    prompt_template=f"{prompt.generator}\n\nUser question: {{user_input}}"
)
