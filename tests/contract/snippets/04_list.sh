curl https://api.baytos.ai/v1/prompts \
  -H "Authorization: Bearer your_api_key_here"
