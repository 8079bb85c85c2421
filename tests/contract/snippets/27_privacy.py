def handle_gdpr_deletion(user_id: str):
    """Delete all user data per GDPR right to deletion"""
    # Delete user prompts
    # Delete user interactions
    # Remove user from workspace memberships
    # Clear cached data
    pass

def export_user_data(user_id: str):
    """Export user data per GDPR data portability"""
    # Collect all user data
    # Format as JSON or CSV
    # Return to user
    pass

def handle_ccpa_optout(user_id: str):
    """Handle CCPA opt-out request"""
    # Mark user as opted-out
    # Stop data collection
    # Update privacy settings
    pass
