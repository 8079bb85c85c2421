echo ".env" >> .gitignore
